// Commits offsets of groups without members, as an operator of Kafka does: with AlterConsumerGroupOffsets.
// Arguments: bootstrap servers, and a file with lines "group topic partitions offset": the same offset on all of
// them. It reads nothing and makes no topics.

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;

public class Commit {
    /** Calls on their way at a time. */
    private static final int WINDOW = 200;

    public static void main(String[] args) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        settings.put("default.api.timeout.ms", "60000");
        try (Admin admin = Admin.create(settings)) {
            ArrayDeque<KafkaFuture<Void>> under = new ArrayDeque<>();
            for (String line : Files.readAllLines(Path.of(args[1]))) {
                String[] of = line.split(" ");
                Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                for (int partition = 0; partition < Integer.parseInt(of[2]); partition++) {
                    offsets.put(new TopicPartition(of[1], partition), new OffsetAndMetadata(Long.parseLong(of[3])));
                }
                under.add(admin.alterConsumerGroupOffsets(of[0], offsets).all());
                if (under.size() >= WINDOW) {
                    under.remove().get(60, TimeUnit.SECONDS);
                }
            }
            for (KafkaFuture<Void> call : under) {
                call.get(60, TimeUnit.SECONDS);
            }
        }
    }
}
