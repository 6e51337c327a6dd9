# Makes each function of bodies.rs run: a stream of bytes over a UNIX socket, a delayed packet, one through a tunnel, a
# schedule of a device's queues, a bridge's port with a spanning tree, a port of TCP that is used again.
set -e
modprobe -a ipip veth
ip link set lo up
tc qdisc add dev lo root netem delay 1ms
ip link add tunnel type ipip local 127.0.0.1 remote 127.0.0.2
ip addr add 10.9.9.1/24 dev tunnel
ip link set tunnel up
ip link add left numtxqueues 4 type veth peer name right
ip link set left up
tc qdisc replace dev left parent root handle 100 taprio num_tc 2 map 0 1 queues 1@0 1@1 base-time 0 \
    sched-entry S 01 300000 sched-entry S 02 300000 clockid CLOCK_TAI
ip link add bridge type bridge vlan_default_pvid 0
python3 - <<'P'
import socket, struct, time

def attribute(kind, data):
    return struct.pack('HH', 4 + len(data), kind) + data + bytes(-len(data) % 4)

one, other = socket.socketpair(socket.AF_UNIX)
one.send(b'x')
other.recv(1)

datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.sendto(b'x', ('127.0.0.1', 5))
datagrams.sendto(b'x', ('10.9.9.2', 5))

# The second connection takes the ports that the first one left in TIME_WAIT.
listening = socket.create_server(('127.0.0.1', 7777))
for _ in range(2):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.bind(('127.0.0.1', 9999))
    client.connect(('127.0.0.1', 7777))
    server, _ = listening.accept()
    client.close()
    time.sleep(0.2)
    server.close()
    time.sleep(1.2)

# The bridge's option for spanning trees by VLAN (IFLA_LINKINFO, IFLA_INFO_KIND and _DATA, IFLA_BR_MULTI_BOOLOPT), which
# older programs do not know.
option = attribute(46, struct.pack('II', 4, 4))
info = attribute(18, attribute(1, b'bridge\0') + attribute(2, option))
message = struct.pack('BxHiII', 0, 0, socket.if_nametoindex('bridge'), 0, 0) + info
route = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
route.bind((0, 0))
route.send(struct.pack('IHHII', 16 + len(message), 16, 5, 1, 0) + message)
assert struct.unpack('i', route.recv(4096)[16:20]) == (0,)
P
tc qdisc del dev lo root
ip link set right master bridge
ip link set bridge up
ip link set right up
sleep 2
