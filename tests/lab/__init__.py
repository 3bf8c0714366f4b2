# SPDX-License-Identifier: ISC
"""A mail internet in network namespaces, for the demonstration and the tests.

      LAN 198.51.100.0/24          gateway           internet 203.0.113.0/24
      2001:db8:100::/64                              2001:db8:203::/64
    client   .20 --+
    postfix  .10 --+-- switch -- lan0 postern wan0 == net0: every DNS server
    exim     .11 --+                              |   and MX host, an IPv4
                                                 tap  and an IPv6 address each

    with Lab() as lab:                       # or the fixtures of tests/e2e
        with Gateway(lab, lab.gateway, lab.config()) as gateway:
            domain, mx = lab.good_domain()   # ("good-2.example", SmtpServer)
            with lab.connect(mx) as client:
                client.deliver("a@lan.example", [f"b@{domain}"], b"hi\\r\\n")
            message = mx.wait_message()      # sender, content, tls, sni, ...
        assert not lab.tap.leaks()

It needs root, what scripts/deps installs, and three seconds.  Namespaces have
no names, processes die with the one that holds the lab, and what is on disk
is /run/postern-lab/PID.N, which the next lab removes should a SIGKILL have
left it.  Labs run side by side.

Places are netns.Namespace: `lab.client.run("swaks", ...)`, `.start(...)`,
`.socket(...)`, `with lab.client.entered(): ...`; `lab.lan_host("other", 21)`
makes one more.  lab.client, lab.gateway and lab.internet exist from the
start; the MTAs' are lab.postfix.jail.ns and lab.exim.jail.ns.

Domains and MX hosts:

    mx = lab.mx("mx.a.example", certificates=[lab.issue("mx.a.example")],
                starttls=True, ...)          # attributes of SmtpServer
    lab.domain("a.example", mx, signed=False)        # or signing="expired"
    lab.tlsa(mx, "3 1 1", "2 0 1")       # true of its certificate and its CA
    sts = lab.sts("a.example", mx=["mx.a.example"])  # mode enforce
    name = lab.fresh("word")                 # "word-3.example", never used
    lab.name_host("mx2.a.example", mx.addresses); lab.publish()
    lab.middlebox(mx.addresses)              # strips STARTTLS in front of it
    lab.new_addresses()                      # ("203.0.113.9", "2001:...::9")

What a server does and records: smtp_server.  Certificates of every badness:
pki, with lab.issuing_ca (below lab.ca, which lab.trust holds) and
lab.unknown_ca.  Names, and name servers that misbehave: nameservers, as
lab.dns; those that forge or wear out: hostile_dns.  MTA-STS policies on a
stock nginx, and Redis (lab.redis()): web.  The stock MTAs: mta.  A client
that shows every byte: smtp_client.
The judge: tap, as lab.tap.  postern itself: gateway; two gateways as one
router, in a lab of their own: pair; a box in a wire: wire.  A whole Debian
that its systemd boots, for the package: system; a pod of containers: pod, by
manifests.  The standard world of good and bad domains, with what is expected
of each: world.
"""

from lab.gateway import Gateway
from lab.lab import Lab
from lab.smtp_client import Client

__all__ = ["Client", "Gateway", "Lab"]
