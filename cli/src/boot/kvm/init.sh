#!/bin/busybox sh
# The first process of the Linux whose KVM runs a kernel. /guest/boot starts QEMU with the kernel. What the kernel
# prints goes to the second serial line; its QEMU's status to the first, which the kernel cannot reach.
busybox=/bin/busybox
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sysfs /sys
$busybox mount -t devtmpfs dev /dev
exec </dev/null
for module in /modules/*; do
    $busybox insmod "$module"
done

if [ -c /dev/kvm ]; then
    # No translation of line ends, and no echo.
    $busybox stty -F /dev/ttyS1 raw -echo
    $busybox sh /guest/boot >/dev/ttyS1
    echo "freestone: status $?"
else
    echo "Linux has no KVM on this processor"
fi
$busybox poweroff -f
