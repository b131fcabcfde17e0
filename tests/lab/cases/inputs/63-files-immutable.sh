# CASE 63: files that the host or the customer's security tool has made immutable or append-only
# SOURCE: MagnaCapax/PMSS #283 (met in a customer's migration); IBM/ibm-spectrum-scale-csi #302
# ENGINE: files; flags set by root
# RIGHT: the flags are there on the new server, or `left` names them
#@ account
echo 'Deny from all' > .htaccess; mkdir logs; echo line > logs/audit
#@ root after
chattr +i /home/acct/.htaccess; chattr +a /home/acct/logs/audit
#@ check
lsattr -d .htaccess logs/audit | cut -c1-16 | tr -d '\n'
#@ expect
----i---------e- and -----a--------e-
