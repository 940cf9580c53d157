#!/bin/busybox sh
# The guest's first process: the machine's own root directory, read-only beneath a layer of memory, with vivid's devices.
b=/bin/busybox
$b mkdir -p /proc /sys /dev /lower /layer /machine
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs devtmpfs /dev
# What nobody talks to any more does not run for ever.
(
  $b sleep 400
  $b poweroff -f
) &
fail() {
  echo "guest: $*" >/dev/ttyS1
  $b poweroff -f
}
for module in virtio_pci 9pnet_virtio 9p overlay; do $b modprobe $module || fail "no module $module"; done
# Two inputs that capture: HDMI, without a scaler, so that its size is the signal's; and a webcam.
$b modprobe vivid n_devs=2 node_types=0x1,0x1 num_inputs=1,1 input_types=3,0 ccs_cap_mode=0,0 || fail "no module vivid"
$b mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=524288 root /lower || fail "the machine's root directory cannot be mounted"
$b mount -t tmpfs -o size=500m tmpfs /layer
$b mkdir /layer/upper /layer/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/layer/upper,workdir=/layer/work overlay /machine || fail "no overlay"
for folder in proc sys dev; do $b mount --move /$folder /machine/$folder || fail "no /$folder"; done
for folder in tmp run; do $b mount -t tmpfs tmpfs /machine/$folder; done
$b cp /bin/busybox /agent.sh /machine/run/
$b ip link set lo up
exec $b chroot /machine /bin/sh /run/agent.sh
