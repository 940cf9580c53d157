# Does what the test asks over the second serial port. A line is `NUMBER COMMAND`; what the command says comes back as
# `NUMBER TEXT`, line by line, and its end as `NUMBER =CODE`. Commands run beside each other.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
stty -F /dev/ttyS1 raw -echo
exec </dev/ttyS1 >/dev/ttyS1 2>&1
echo "ready $(uname -r)"
while read -r number command; do
  # The driver wakes a reader for each piece that is written: sed writes whole lines.
  { sh -c "$command" </dev/null 2>&1; echo "=$?"; } | sed -u "s/^/$number /" &
done
