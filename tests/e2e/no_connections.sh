# A network with a way to everywhere, behind which is nobody: a broker with everything switched on, and what the tools do with it.
# Arguments: lotmq, a folder with certificate.pem and key.pem, seconds. Tells how many packets have left, and then how many once a definition asks for some.
set -e
sysctl -qw net.ipv6.conf.default.disable_ipv6=1
ip link set lo up
ip link add far type veth peer name near
ip address add 192.0.2.1/24 dev far
ip link set far up
ip link set near up
ip route add default via 192.0.2.2 dev far
left() { sed -n 's/^ *far: *//p' /proc/net/dev | awk '{ print $10 }'; }

lotmq=$1
cd "$2"
cat > on.toml <<TOML
[listener.quic]
port = 14567
[listener.unix]
path = "$2/socket"
[tls]
certificate = "$2/certificate.pem"
key = "$2/key.pem"
[auth]
scram_sha_256 = true
[lot]
durable_triggers = true
[modules]
allow_unstable = true
TOML
"$lotmq" serve --config on.toml --data data > log 2>&1 &
broker=$!
trap 'kill $broker' EXIT
until "$lotmq" status > status 2>&1 || grep -q unhealthy status; do kill -0 $broker || { cat log; exit 1; }; sleep 0.2; done

cat > stat.py <<PYTHON
# Script Name: Stat
def twice(a):
    return float(a) * 2
PYTHON
cat > beat.lot <<LOT
DEFINE ACTION Beat
ON EVERY 1 SECOND DO
    CALL PYTHON "Stat.twice"
        WITH (2)
        RETURN AS {twice}
    PUBLISH TOPIC "beat" WITH {twice}
LOT
cat > valves.lot <<LOT
DEFINE RULE Valves WITH PRIORITY 100 FOR Publish TO TOPIC "valve/#"
    DENY
LOT
"$lotmq" cmd --timeout 200 -addPython --file stat.py
"$lotmq" cmd -addAction --file beat.lot
"$lotmq" cmd -addRule --file valves.lot
"$lotmq" sub -t beat -C 1 -W 60
"$lotmq" pub -q 1 -t valve/1 -m open || true
"$lotmq" backup backup.zip
sleep "$3"
echo "by itself: $(left)"

cat > out.lot <<LOT
DEFINE ROUTE Out WITH TYPE MQTT_BRIDGE
    ADD SOURCE_CONFIG
        WITH BROKER SELF
    ADD DESTINATION_CONFIG
        WITH BROKER_ADDRESS "198.51.100.7"
    ADD MAPPING all
        WITH SOURCE_TOPIC "beat"
        WITH DESTINATION_TOPIC "beat"
LOT
"$lotmq" cmd -addRoute --file out.lot
for _ in 1 2 3 4 5 6 7 8 9 10; do [ "$(left)" = 0 ] || break; sleep 1; done
echo "by a route: $(left)"
