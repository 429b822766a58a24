#!/usr/bin/env bash
# One Cassandra node for the tests: cassandra.sh CACHE DIR PORT. Prints its process id; ends when it is ready.
set -euo pipefail
lib=$1/cassandra dir=$2 port=$3
if [ ! -e "$lib/complete" ]; then
  mkdir -p "$lib"
  cat > "$lib/pom.xml" <<'POM'
<project><modelVersion>4.0.0</modelVersion><groupId>tests</groupId><artifactId>cql</artifactId><version>1</version>
<packaging>pom</packaging><dependencies><dependency><groupId>org.apache.cassandra</groupId>
<artifactId>cassandra-all</artifactId><version>5.0.6</version></dependency></dependencies></project>
POM
  (cd "$lib" && mvn -q -B dependency:copy-dependencies -DoutputDirectory=. -DincludeScope=runtime >&2)
  touch "$lib/complete"
fi
mkdir -p "$dir/conf"
cat > "$dir/conf/cassandra.yaml" <<Y
cluster_name: tests
num_tokens: 1
initial_token: 0
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{seeds: "127.0.0.1:$((port+1))"}]
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
native_transport_port: $port
storage_port: $((port+1))
ssl_storage_port: $((port+2))
data_file_directories: ["$dir/data"]
commitlog_directory: "$dir/commitlog"
saved_caches_directory: "$dir/saved_caches"
hints_directory: "$dir/hints"
cdc_raw_directory: "$dir/cdc"
commitlog_sync: periodic
commitlog_sync_period: 10000ms
commitlog_total_space: 256MiB
memtable_heap_space: 64MiB
memtable_offheap_space: 64MiB
file_cache_enabled: false
key_cache_size: 0MiB
concurrent_reads: 8
concurrent_writes: 8
auto_snapshot: false
authenticator: AllowAllAuthenticator
authorizer: AllowAllAuthorizer
materialized_views_enabled: true
Y
cat > "$dir/conf/logback.xml" <<L
<configuration><appender name="S" class="ch.qos.logback.core.ConsoleAppender"><encoder><pattern>%d{HH:mm:ss.SSS} %-5level %logger{20} %msg%n</pattern></encoder></appender><root level="WARN"><appender-ref ref="S"/></root></configuration>
L
X=(); for p in java.base/jdk.internal.misc java.base/java.lang.ref java.management.rmi/com.sun.jmx.remote.internal.rmi java.rmi/sun.rmi.registry java.rmi/sun.rmi.server java.sql/java.sql jdk.unsupported/sun.misc; do X+=(--add-exports $p=ALL-UNNAMED); done
for p in java.base/java.lang.module java.base/java.lang.reflect java.base/java.lang java.base/java.io java.base/java.net java.base/java.nio java.base/java.util java.base/java.util.concurrent java.base/java.util.concurrent.atomic java.base/jdk.internal.loader java.base/jdk.internal.ref java.base/jdk.internal.reflect java.base/jdk.internal.math java.base/jdk.internal.module java.base/jdk.internal.util.jar java.base/sun.nio.ch java.rmi/sun.rmi.transport.tcp jdk.management/com.sun.management.internal; do X+=(--add-opens $p=ALL-UNNAMED); done
java -Xms256m -Xmx768m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:MaxDirectMemorySize=256m -Djdk.attach.allowAttachSelf=true -javaagent:$(ls "$lib"/jamm-*.jar) "${X[@]}" \
 -Dcassandra.config=file://$dir/conf/cassandra.yaml -Dcassandra.storagedir=$dir -Dlogback.configurationFile=$dir/conf/logback.xml \
 -Dcassandra.superuser_setup_delay_ms=0 -Dcassandra.ring_delay_ms=0 -Dcassandra.skip_wait_for_gossip_to_settle=0 -Dcassandra.ignore_dc=true -Djava.io.tmpdir=$dir \
 -cp "$dir/conf:$lib/*" org.apache.cassandra.service.CassandraDaemon </dev/null >"$dir/log" 2>&1 &
echo $! > "$dir/pid"
for i in $(seq 900); do (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null && break; kill -0 $(cat "$dir/pid") || exit 1; sleep 0.1; done
cat "$dir/pid"
