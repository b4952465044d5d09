"""What checks look with: clients of each protocol, and readers of what comes back."""
