// The importing service of the accident, on the official Java client: new documents, overwritten ones, deletes; ends when its input does.
// java -cp ... Service.java PORT[,PORT] TYPED JOURNAL RATE SEED INDEX; prints a line to JOURNAL for each write that was taken.
import java.io.FileWriter;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.http.Header;
import org.apache.http.HttpHost;
import org.apache.http.message.BasicHeader;
import org.apache.http.util.EntityUtils;
import org.opensearch.client.Request;
import org.opensearch.client.Response;
import org.opensearch.client.ResponseException;
import org.opensearch.client.RestClient;

public class Service {
    static volatile boolean stop = false;
    static final Pattern ID = Pattern.compile("\"_id\"\\s*:\\s*\"([^\"]+)\"");

    final RestClient client;
    final boolean typed;
    final String index;
    final PrintWriter journal;
    final Random random;
    final List<String> own = new ArrayList<>();
    int next = 0;

    Service(String[] args) throws Exception {
        String auth = "Basic " + Base64.getEncoder().encodeToString("import:secret".getBytes(StandardCharsets.UTF_8));
        String[] ports = args[0].split(",");
        HttpHost[] hosts = new HttpHost[ports.length];
        for (int i = 0; i < ports.length; i++)
            hosts[i] = HttpHost.create("http://127.0.0.1:" + ports[i]);
        client = RestClient.builder(hosts).setDefaultHeaders(new Header[] {new BasicHeader("Authorization", auth)})
                     .setRequestConfigCallback(c -> c.setConnectTimeout(120000).setSocketTimeout(120000)).build();
        typed = args[1].equals("typed");
        journal = new PrintWriter(new FileWriter(args[2], StandardCharsets.UTF_8, true), true);
        random = new Random(Long.parseLong(args[4]));
        index = args[5];
    }

    public static void main(String[] args) throws Exception {
        Thread watch = new Thread(() -> {
            try {
                while (System.in.read() >= 0) { }
            } catch (IOException e) { }
            stop = true;
        });
        watch.setDaemon(true);
        watch.start();
        Service s = new Service(args);
        double rate = Double.parseDouble(args[3]);
        long began = System.nanoTime();
        for (long n = 0; !stop; n++) {
            long wait = began + (long)(n * 1e9 / rate) - System.nanoTime();
            if (wait > 0)
                Thread.sleep(wait / 1000000, (int)(wait % 1000000));
            s.one();
        }
        s.client.close();
    }

    String path(String verb, String id) {
        if (typed)
            return "/" + index + "/item/" + id + (verb.equals("create") ? "/_create" : "");
        return "/" + index + (verb.equals("create") ? "/_create/" : "/_doc/") + id;
    }

    String document(String id) {
        return "{\"sku\":\"" + id + "\",\"name\":\"walnut, größe " + random.nextInt(100) + "\",\"price\":" + random.nextInt(100000) / 100.0
            + ",\"stock\":" + random.nextInt(500) + ",\"tags\":[\"new\",\"" + (char)('a' + random.nextInt(6)) + "\"],\"attrs\":{\"weight\":" + random.nextInt(900) + ",\"gone\":null}}";
    }

    void one() throws Exception {
        int x = random.nextInt(100);
        if (x < 20 && own.size() > 20) {
            String id = own.remove(random.nextInt(own.size()));
            send("DELETE", path("delete", id), null, "delete", id);
        } else if (x < 40 && own.size() > 20) {
            String id = own.get(random.nextInt(own.size()));
            send("PUT", path("index", id), document(id), "index", id);
        } else if (x < 55) {
            String id = send("POST", "/" + index + (typed ? "/item" : "/_doc"), document("minted"), "index", null);
            if (id != null)
                own.add(id);
        } else {
            String id = "n-" + next++;
            String verb = x < 75 ? "create" : "index";
            send("PUT", path(verb, id), document(id), "index", id);
            own.add(id);
        }
    }

    // Until the cluster has taken it, or has nothing to delete. What it refuses for a moment is tried again, as a service does.
    String send(String verb, String path, String body, String op, String id) throws Exception {
        for (;;) {
            int status;
            String text;
            try {
                Request request = new Request(verb, path);
                if (body != null)
                    request.setJsonEntity(body);
                Response r = client.performRequest(request);
                status = r.getStatusLine().getStatusCode();
                text = EntityUtils.toString(r.getEntity());
            } catch (ResponseException e) {
                status = e.getResponse().getStatusLine().getStatusCode();
                text = "";
            }
            if (status == 403 || status == 429 || status == 503 || status == 404 && !op.equals("delete")) {
                if (stop)
                    return null; // refused to the end: it never happened
                Thread.sleep(100);
                continue;
            }
            if (status > 201 && !(status == 404 && op.equals("delete")))
                throw new IOException(verb + " " + path + ": " + status);
            if (id == null) {
                Matcher m = ID.matcher(text);
                id = m.find() ? m.group(1) : null;
            }
            journal.println("{\"op\":\"" + op + "\",\"id\":\"" + id + "\",\"status\":" + status + (body == null ? "" : ",\"doc\":" + body) + "}");
            return id;
        }
    }
}
