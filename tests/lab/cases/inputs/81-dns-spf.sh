# CASE 81: the zone (host's DNS) says v=spf1 ip4:OLD -all: mail that the account's programs send from the transit is refused by receivers
# SOURCE: EFForg/starttls-everywhere #62; YunoHost/yunohost PR#923
# ENGINE: dns (RFC 2136 on the lab's name server) and mail out of PHP
# RIGHT: while the account lives on the transit the transit's address is in the SPF record (or mail leaves by the old IP); else the hand-over's list tells the customer
#@ root on the name server
nsupdate: update add acct.example. 300 TXT "v=spf1 ip4:198.51.100.11 ip6:2001:db8:100::11 -all"
#@ check
dig +short TXT acct.example; the list of names in the log of hand_over / point_names says something about this record
#@ expect
the transit's addresses are allowed, or the record is listed
