"""What a validation stores: images that are marked as tests, made by ourselves."""
