"""Uploads the LoT program on standard input and drives it, as a user of paho-mqtt would.

Arguments: port of the broker on this machine, protocol version 3.1.1 or 5. Prints what it does and `done` at the end; any failure
ends it with an exception.
"""

import json
import queue
import sys

import paho.mqtt.client as mqtt

WAIT = 20
port, version = int(sys.argv[1]), sys.argv[2]
protocol = mqtt.MQTTv5 if version == "5" else mqtt.MQTTv311
program = sys.stdin.read()


def connect(client_id, user=None, **options):
    """Connects and returns the client and the queue of what it receives."""
    received, granted = queue.Queue(), queue.Queue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol, **options)
    if user:
        client.username_pw_set(*user)
    connected = queue.Queue()
    client.on_connect = lambda _c, _u, flags, reason, _p: connected.put((flags, reason))
    client.on_message = lambda _c, _u, message: received.put(message)
    client.on_subscribe = lambda _c, _u, _mid, reasons, _p: granted.put(reasons)
    client.connect("127.0.0.1", port)
    client.loop_start()
    flags, reason = connected.get(timeout=WAIT)
    assert not reason.is_failure, reason
    return client, received, granted, flags


def subscribe(client, granted, topic, qos):
    client.subscribe(topic, qos)
    reasons = granted.get(timeout=WAIT)
    return reasons[0]


root, replies, granted, _ = connect("paho-root", user=("root", "coreflux"))
assert not subscribe(root, granted, "$SYS/Coreflux/Command/Output", 1).is_failure
root.publish("$SYS/Coreflux/Command", f"-addAction {program} -requestId up1", qos=1).wait_for_publish(WAIT)
reply = json.loads(replies.get(timeout=WAIT).payload)
assert reply["success"] is True and reply["requestId"] == "up1", reply
print("uploaded", [entity["name"] for entity in reply["data"]["entities"]])

anyone, _, granted_anyone, _ = connect("paho-anyone")
assert subscribe(anyone, granted_anyone, "$SYS/Coreflux/Command/Output", 1).is_failure, "anonymous users read no replies"

watcher, messages, granted, _ = connect("paho-watcher")
for topic, qos in (("alarms/#", 2), ("readings/press7", 1)):
    assert not subscribe(watcher, granted, topic, qos).is_failure
sensor, _, _, _ = connect("paho-sensor")
for qos, celsius in ((0, "20"), (1, "79.5"), (2, "95")):
    sensor.publish("plant/press7/temperature", celsius, qos=qos).wait_for_publish(WAIT)
got = [messages.get(timeout=WAIT) for _ in range(4)]
readings = [json.loads(message.payload) for message in got if message.topic == "readings/press7"]
assert [(reading["celsius"], reading["count"]) for reading in readings] == [(20, 1), (79.5, 2), (95, 3)], readings
alarms = [message.payload for message in got if message.topic == "alarms/press7"]
assert alarms == [b"too hot: 95"], alarms
print("results as expected")

source, sources, granted, _ = connect("paho-source", user=("root", "coreflux"))
subscribe(source, granted, "$SYS/Coreflux/Actions/HeatAlarm", 0)
message = sources.get(timeout=WAIT)
assert message.retain and b"DEFINE ACTION HeatAlarm" in message.payload

# A kept session: what is published while it is away waits for it.
if protocol == mqtt.MQTTv5:
    properties = mqtt.Properties(mqtt.PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 600
    keeper = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="paho-keeper", protocol=protocol)
    keeper_options = dict(clean_start=False, properties=properties)
else:
    keeper = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="paho-keeper", protocol=protocol, clean_session=False)
    keeper_options = {}
kept, kept_granted, kept_connected = queue.Queue(), queue.Queue(), queue.Queue()
keeper.on_connect = lambda _c, _u, flags, reason, _p: kept_connected.put((flags, reason))
keeper.on_message = lambda _c, _u, message: kept.put(message)
keeper.on_subscribe = lambda _c, _u, _mid, reasons, _p: kept_granted.put(reasons)
keeper.connect("127.0.0.1", port, **keeper_options)
keeper.loop_start()
assert not kept_connected.get(timeout=WAIT)[0].session_present
assert not subscribe(keeper, kept_granted, "orders", 1).is_failure
keeper.disconnect()
keeper.loop_stop()
for number in range(3):
    sensor.publish("orders", str(number), qos=1).wait_for_publish(WAIT)
keeper.connect("127.0.0.1", port, **keeper_options)
keeper.loop_start()
assert kept_connected.get(timeout=WAIT)[0].session_present
assert [kept.get(timeout=WAIT).payload for _ in range(3)] == [b"0", b"1", b"2"]
print("session kept")

for client in (root, anyone, watcher, sensor, source, keeper):
    client.disconnect()
    client.loop_stop()
print("done")
