"""paho over WebSocket: publishes to itself at every QoS and in sizes around those of frames. Arguments: port, path."""

import queue
import sys

import paho.mqtt.client as mqtt

port, path = int(sys.argv[1]), sys.argv[2]
events = queue.Queue()
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "paho-ws", transport="websockets", protocol=mqtt.MQTTv5)
client.ws_set_options(path=path)
client.on_subscribe = lambda *_: events.put("subscribed")
client.on_connect = lambda client, *_: client.subscribe("paho/ws", 2)
client.on_message = lambda client, data, message: events.put(message.payload)
client.connect("127.0.0.1", port)
client.loop_start()
assert events.get(timeout=20) == "subscribed"
for qos in (0, 1, 2):
    for size in (0, 1, 120, 130, 65530, 65540, 300000):
        payload = bytes(n % 251 for n in range(size))
        client.publish("paho/ws", payload, qos)
        assert events.get(timeout=20) == payload, (qos, size)
client.disconnect()
client.loop_stop()
print("done")
