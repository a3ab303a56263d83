"""A Kafka cluster of a test: the mock cluster of librdkafka, and librdkafka as a client beside it.

Usage: cluster.py BROKERS, or cluster.py beside SERVERS for the client alone, beside other people's brokers. Says {"servers": …}, then answers each line of
its input, a JSON object whose member "do" names a function below, with one line. The cluster keeps its log in memory, and keeps it over "down" and "up"; it does not look at the sequence numbers of producers.
"""

import ctypes
import glob
import json
import os
import sys
import time

import confluent_kafka
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic


def mocked(brokers):
    """The library and its cluster of so many brokers."""
    folder = os.path.join(os.path.dirname(os.path.dirname(confluent_kafka.__file__)), "confluent_kafka.libs")
    library = ctypes.CDLL(glob.glob(os.path.join(folder, "librdkafka*.so*"))[0])
    library.rd_kafka_new.restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p

    text = ctypes.create_string_buffer(512)
    handle = ctypes.c_void_p(library.rd_kafka_new(0, None, text, 512))
    cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(handle, brokers))
    # Groups of a test are complete at once.
    library.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0)
    library.rd_kafka_mock_get_requests.restype = ctypes.POINTER(ctypes.c_void_p)
    library.rd_kafka_mock_request_api_key.restype = ctypes.c_int16
    library.rd_kafka_mock_start_request_tracking(cluster)
    return library, cluster, library.rd_kafka_mock_cluster_bootstraps(cluster).decode()


if sys.argv[1] == "beside":
    library, cluster, servers = None, None, sys.argv[2]
else:
    library, cluster, servers = mocked(int(sys.argv[1]))
members = {}


def create(topic, partitions=1):
    if library is None:
        admin = AdminClient({"bootstrap.servers": servers})
        return admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(30) or 0
    return library.rd_kafka_mock_topic_create(cluster, topic.encode(), partitions, 1)


def down(broker=1):
    return library.rd_kafka_mock_broker_set_down(cluster, broker)


def up(broker=1):
    return library.rd_kafka_mock_broker_set_up(cluster, broker)


def leader(topic, partition, broker):
    return library.rd_kafka_mock_partition_set_leader(cluster, topic.encode(), partition, broker)


def slow(ms, broker=1):
    return library.rd_kafka_mock_broker_set_rtt(cluster, broker, ms)


def errors(api, codes):
    """The next requests of a kind are answered with these."""
    array = (ctypes.c_int * len(codes))(*codes)
    return library.rd_kafka_mock_push_request_errors_array(cluster, ctypes.c_int16(api), ctypes.c_size_t(len(codes)), array)


def requests(api):
    """How many requests of a kind have come."""
    count = ctypes.c_size_t()
    found = library.rd_kafka_mock_get_requests(cluster, ctypes.byref(count))
    number = sum(library.rd_kafka_mock_request_api_key(ctypes.c_void_p(found[place])) == api for place in range(count.value))
    library.rd_kafka_mock_request_destroy_array(found, count)
    return number


def produce(topic, messages, compression="none", partitioner="consistent_random"):
    """Each message is key, value, headers and partition, null where it has none."""
    producer = Producer({"bootstrap.servers": servers, "compression.type": compression, "linger.ms": 20, "partitioner": partitioner})
    failed = []
    for key, value, headers, partition in messages:
        more = {} if partition is None else {"partition": partition}
        headers = [(name, text and text.encode()) for name, text in headers or []]
        producer.produce(topic, value, key, headers=headers, on_delivery=lambda error, _: error and failed.append(str(error)), **more)
        producer.poll(0)
    producer.flush(30)
    return failed


def told(message):
    headers = [[name, value.decode("latin-1")] for name, value in message.headers() or []]
    value = lambda data: None if data is None else data.decode("latin-1")
    return [message.partition(), value(message.key()), value(message.value()), headers, message.timestamp()[1]]


def read(topic, count):
    """All records of a topic, at least so many; and what comes in half a second behind them."""
    reader = Consumer({"bootstrap.servers": servers, "group.id": "reader of the test", "enable.auto.commit": False})
    partitions = reader.list_topics(topic, 10).topics[topic].partitions
    reader.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    found, end = [], time.monotonic() + 30
    while time.monotonic() < end:
        message = reader.poll(0.1)
        if message is not None and message.error() is None:
            found.append(told(message))
        if len(found) >= count:
            end = min(end, time.monotonic() + 0.5)
            count = 1 << 60
    reader.close()
    return found


def committed(group, topic, partitions):
    """How far a group has read each partition."""
    reader = Consumer({"bootstrap.servers": servers, "group.id": group})
    found = reader.committed([TopicPartition(topic, partition) for partition in range(partitions)], 10)
    reader.close()
    return [place.offset for place in found]


def join(group, topic, name="other"):
    """Lets librdkafka become a member of a group, and waits for its share."""
    member = Consumer({"bootstrap.servers": servers, "group.id": group, "auto.offset.reset": "earliest", "partition.assignment.strategy": "range", "session.timeout.ms": 6000})
    members[name] = (member, [])
    member.subscribe([topic])
    end = time.monotonic() + 30
    while not member.assignment() and time.monotonic() < end:
        take(name, 0.1)
    return share(name)


def share(name="other"):
    """Partitions that a member has now."""
    take(name, 0.2)
    return sorted(place.partition for place in members[name][0].assignment())


def take(name="other", seconds=0.2):
    """Lets a member read; all that it has read since it has joined."""
    member, found = members[name]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        message = member.poll(0.05)
        if message is not None and message.error() is None:
            found.append(told(message))
    return found


def leave(name="other"):
    member, found = members.pop(name)
    member.close()
    return found


print(json.dumps({"servers": servers}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    function = globals()[asked.pop("do")]
    print(json.dumps(function(**asked)), flush=True)
