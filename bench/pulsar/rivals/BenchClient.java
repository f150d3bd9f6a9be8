import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.management.OperatingSystemMXBean;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.logging.LogManager;
import org.apache.logging.log4j.Level;
import org.apache.logging.log4j.core.config.Configurator;
import org.apache.pulsar.client.api.BatcherBuilder;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.PulsarClient;
import org.apache.pulsar.client.api.SizeUnit;
import org.apache.pulsar.client.api.SubscriptionInitialPosition;
import org.apache.pulsar.client.api.SubscriptionType;

/**
 * The official Java client as a contestant (lines.ts): one JSON object a line. Started with the url of the broker. In load.ts is
 * what the asks mean. Each message has its future, and each is acknowledged by itself, grouped as the client does by default.
 */
public final class BenchClient {
    private static final int DISTINCT = 1024;
    private static final int IN_FLIGHT = 20_000;
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final OperatingSystemMXBean SYSTEM =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    public static void main(String[] args) throws Exception {
        PrintStream answers = System.out;
        System.setOut(System.err); // what the client logs
        LogManager.getLogManager().reset();
        Configurator.setRootLevel(Level.ERROR);
        try (PulsarClient client = PulsarClient.builder()
                .serviceUrl(args[0])
                .memoryLimit(512, SizeUnit.MEGA_BYTES)
                .statsInterval(0, TimeUnit.SECONDS)
                .build()) {
            BufferedReader asks = new BufferedReader(new InputStreamReader(System.in));
            for (String line = asks.readLine(); line != null; line = asks.readLine()) {
                JsonNode ask = JSON.readTree(line);
                ObjectNode reply = JSON.createObjectNode().put("ask", ask.get("ask").asInt());
                try {
                    reply.set("ok", answer(client, ask));
                } catch (Exception error) {
                    reply.put("error", error.toString());
                }
                answers.println(reply);
                answers.flush();
            }
        }
    }

    private static JsonNode answer(PulsarClient client, JsonNode ask) throws Exception {
        switch (ask.get("do").asText()) {
            case "hello":
                return JSON.nullNode();
            case "publish":
                return publish(client, ask);
            case "consume":
                return consume(client, ask);
            case "paced":
                return paced(client, ask);
            default:
                throw new IllegalArgumentException("no such ask");
        }
    }

    private static JsonNode publish(PulsarClient client, JsonNode ask) throws Exception {
        int messages = ask.get("messages").asInt();
        int batch = ask.get("batch").asInt();
        int keys = ask.get("keys").asInt();
        boolean byKey = ask.get("by").asText().equals("key");
        byte[][] payloads = new byte[DISTINCT][];
        for (int n = 0; n < DISTINCT; n++) {
            payloads[n] = new byte[ask.get("bytes").asInt()];
            Arrays.fill(payloads[n], (byte) 'k');
            ByteBuffer.wrap(payloads[n]).putInt(n);
        }
        String[] names = new String[keys];
        for (int n = 0; n < keys; n++) names[n] = "key-" + n;
        Producer<byte[]> producer = client.newProducer()
                .topic(ask.get("topic").asText())
                .enableBatching(batch > 1)
                .batchingMaxMessages(Math.max(2, batch))
                .batchingMaxBytes(ask.get("batchBytes").asInt())
                .batchingMaxPublishDelay(1, TimeUnit.MILLISECONDS)
                .batcherBuilder(byKey ? BatcherBuilder.KEY_BASED : BatcherBuilder.DEFAULT)
                .maxPendingMessages(IN_FLIGHT)
                .blockIfQueueFull(true)
                .create();
        CountDownLatch done = new CountDownLatch(1);
        AtomicLong confirmed = new AtomicLong();
        AtomicReference<Throwable> fault = new AtomicReference<>();
        Watch watch = new Watch();
        for (int n = 0; n < messages; n++) {
            byte[] payload = payloads[n % DISTINCT];
            (keys == 0
                            ? producer.sendAsync(payload)
                            : producer.newMessage().key(names[n % keys]).value(payload).sendAsync())
                    .whenComplete((id, error) -> {
                        if (error != null) fault.set(error);
                        if (confirmed.incrementAndGet() == messages) done.countDown();
                    });
        }
        producer.flushAsync();
        done.await();
        JsonNode run = watch.stop(messages, 0, 0);
        producer.close();
        if (fault.get() != null) throw new Exception(fault.get());
        return run;
    }

    private static JsonNode consume(PulsarClient client, JsonNode ask) throws Exception {
        int messages = ask.get("messages").asInt();
        CountDownLatch done = new CountDownLatch(1);
        AtomicLong acknowledged = new AtomicLong();
        AtomicReference<Throwable> fault = new AtomicReference<>();
        Watch watch = new Watch();
        Consumer<byte[]> consumer = client.newConsumer()
                .topic(ask.get("topic").asText())
                .subscriptionName(ask.get("subscription").asText())
                .subscriptionType(SubscriptionType.valueOf(ask.get("type").asText()))
                .subscriptionInitialPosition(SubscriptionInitialPosition.Earliest)
                .receiverQueueSize(ask.get("prefetch").asInt())
                .subscribe();
        long sum = 0;
        long disorder = 0;
        for (int n = 0; n < messages; n++) {
            Message<byte[]> message = consumer.receive();
            int number = ByteBuffer.wrap(message.getData()).getInt();
            if (number != n % DISTINCT) disorder++;
            sum += number;
            consumer.acknowledgeAsync(message.getMessageId()).whenComplete((nothing, error) -> {
                if (error != null) fault.set(error);
                if (acknowledged.incrementAndGet() == messages) done.countDown();
            });
        }
        done.await();
        JsonNode run = watch.stop(messages, sum, disorder);
        consumer.close();
        if (fault.get() != null) throw new Exception(fault.get());
        return run;
    }

    private static JsonNode paced(PulsarClient client, JsonNode ask) throws Exception {
        int messages = ask.get("messages").asInt();
        long gapNs = ask.get("gapUs").asLong() * 1000;
        int bytes = ask.get("bytes").asInt();
        String topic = ask.get("topic").asText();
        Consumer<byte[]> consumer =
                client.newConsumer().topic(topic).subscriptionName("paced").receiverQueueSize(1000).subscribe();
        Producer<byte[]> producer = client.newProducer()
                .topic(topic)
                .enableBatching(ask.get("batching").asBoolean())
                .batchingMaxPublishDelay(1, TimeUnit.MILLISECONDS)
                .create();
        double[] us = new double[messages];
        if (gapNs == 0) {
            for (int n = 0; n < messages; n++) {
                var sent = producer.sendAsync(stamped(bytes));
                us[n] = take(consumer);
                sent.join();
            }
        } else {
            Thread receiver = new Thread(() -> {
                for (int n = 0; n < messages; n++) us[n] = take(consumer);
            });
            receiver.start();
            long began = System.nanoTime();
            for (int n = 0; n < messages; n++) {
                for (long left = began + n * gapNs - System.nanoTime(); left > 0; left = began + n * gapNs - System.nanoTime())
                    LockSupport.parkNanos(left);
                producer.sendAsync(stamped(bytes));
            }
            receiver.join();
        }
        producer.close();
        consumer.close();
        ObjectNode paced = JSON.createObjectNode();
        paced.set("us", JSON.valueToTree(us));
        return paced;
    }

    private static byte[] stamped(int bytes) {
        byte[] payload = new byte[bytes];
        ByteBuffer.wrap(payload).putLong(System.nanoTime());
        return payload;
    }

    private static double take(Consumer<byte[]> consumer) {
        try {
            Message<byte[]> message = consumer.receive();
            double us = (System.nanoTime() - ByteBuffer.wrap(message.getData()).getLong()) / 1000.0;
            consumer.acknowledgeAsync(message.getMessageId());
            return us;
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    /** Time, and CPU of all threads of the process, from here on. */
    private static final class Watch {
        private final long cpu = SYSTEM.getProcessCpuTime();
        private final long began = System.nanoTime();

        JsonNode stop(long messages, long sum, long disorder) {
            long ns = System.nanoTime() - began;
            double cpuUs = (SYSTEM.getProcessCpuTime() - cpu) / 1000.0;
            return JSON.createObjectNode()
                    .put("messages", messages)
                    .put("ns", ns)
                    .put("cpuUs", cpuUs)
                    .put("sum", sum)
                    .put("disorder", disorder);
        }
    }
}
