/** Takes every version and cipher suite that Java has, from SSL 3.0 and RC4 on: PORT STORE, whose password is "secret". */
import java.io.FileInputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.security.KeyStore;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;

public class WeakTls {
    public static void main(String[] words) throws Exception {
        char[] password = "secret".toCharArray();
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (FileInputStream file = new FileInputStream(words[1])) {
            store.load(file, password);
        }
        KeyManagerFactory keys = KeyManagerFactory.getInstance("SunX509");
        keys.init(store, password);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), null, null);
        SSLServerSocket server = (SSLServerSocket) context.getServerSocketFactory()
            .createServerSocket(Integer.parseInt(words[0]), 50, InetAddress.getByName("127.0.0.1"));
        server.setEnabledCipherSuites(server.getSupportedCipherSuites());
        server.setEnabledProtocols(server.getSupportedProtocols());
        while (true) {
            SSLSocket client = (SSLSocket) server.accept();
            new Thread(() -> {
                try (client) {
                    client.startHandshake();
                } catch (IOException refused) {
                    // It only wanted to look.
                }
            }).start();
        }
    }
}
