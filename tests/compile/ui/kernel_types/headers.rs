use klp_runtime::prelude::*;

kernel_types! {
    use net::sock;
}

kernel_types! {
    use "net/sock.h";
    inline fn sock_put(sk: *mut sock);
}

kernel_types! {
    use "linux/jiffies.h";
    const HZ = 250;
}

kernel_types! {
    macro fn list_empty;
}

kernel_types! {
    macro list_empty(head: *const list_head) -> bool;
}

fn main() {}
