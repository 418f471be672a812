// Starts one embedded node (or several in one process) of the runner on the class path and waits until it is killed.
// java -cp ... Node.java DIR HTTP_PORT TRANSPORT_PORT NODES REPO_DIR
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.List;

public class Node {
    public static void main(String[] args) throws Exception {
        String dir = args[0], http = args[1], transport = args[2], repo = args[4];
        int nodes = Integer.parseInt(args[3]);
        boolean opensearch = has("org.codelibs.opensearch.runner.OpenSearchRunner");
        Class<?> runnerClass = Class.forName(opensearch ? "org.codelibs.opensearch.runner.OpenSearchRunner"
                                                        : "org.codelibs.elasticsearch.runner.ElasticsearchClusterRunner");
        int major = Integer.parseInt(System.getProperty("node.version").split("\\.")[0]);
        Object runner = runnerClass.getDeclaredConstructor().newInstance();
        Class<?> builderClass = null;
        for (Class<?> c : runnerClass.getDeclaredClasses())
            if (c.getSimpleName().equals("Builder"))
                builderClass = c;
        Object builder = java.lang.reflect.Proxy.newProxyInstance(Node.class.getClassLoader(), new Class<?>[] {builderClass}, (p, m, a) -> {
            if (!m.getName().equals("build"))
                return null;
            int number = (Integer)a[0];
            Object s = a[1];
            put(s, "http.port", String.valueOf(Integer.parseInt(http) + number - 1));
            put(s, opensearch || major >= 7 ? "transport.port" : "transport.tcp.port", String.valueOf(Integer.parseInt(transport) + number - 1));
            put(s, "network.host", "127.0.0.1");
            put(s, "path.repo", repo);
            put(s, "cluster.routing.allocation.disk.threshold_enabled", "false");
            if (opensearch && major == 2 || !opensearch && major == 7) {
                List<String> seeds = new ArrayList<>();
                for (int i = 0; i < nodes && nodes > 1; i++)
                    seeds.add("127.0.0.1:" + (Integer.parseInt(transport) + i));
                putList(s, "discovery.seed_hosts", seeds);
                putList(s, opensearch ? "cluster.initial_cluster_manager_nodes" : "cluster.initial_master_nodes", List.of("Node 1"));
            }
            for (String extra : System.getProperty("node.settings", "").split(";"))
                if (extra.contains("="))
                    put(s, extra.substring(0, extra.indexOf('=')), extra.substring(extra.indexOf('=') + 1));
            return null;
        });
        runnerClass.getMethod("onBuild", builderClass).invoke(runner, builder);
        Object configs = runnerClass.getMethod("newConfigs").invoke(null);
        call(configs, "basePath", dir);
        call(configs, "numOfNode", nodes);
        call(configs, "clusterName", "drill");
        configs.getClass().getMethod("useLogger").invoke(configs);
        runnerClass.getMethod("build", configs.getClass()).invoke(runner, configs);
        System.out.println("NODE READY " + http);
        System.out.flush();
        Thread.sleep(Long.MAX_VALUE);
    }

    static boolean has(String name) {
        try {
            Class.forName(name);
            return true;
        } catch (ClassNotFoundException e) {
            return false;
        }
    }

    static void put(Object settings, String key, String value) throws Exception {
        settings.getClass().getMethod("put", String.class, String.class).invoke(settings, key, value);
    }

    static void putList(Object settings, String key, List<String> values) throws Exception {
        for (Method m : settings.getClass().getMethods())
            if (m.getName().equals("putList") && m.getParameterCount() == 2 && m.getParameterTypes()[1] == List.class) {
                m.invoke(settings, key, values);
                return;
            }
    }

    static void call(Object on, String name, Object value) throws Exception {
        for (Method m : on.getClass().getMethods())
            if (m.getName().equals(name) && m.getParameterCount() == 1) {
                m.invoke(on, value);
                return;
            }
    }
}
