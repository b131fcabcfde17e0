# CASE 73: crontab and scripts that name the old version's programs by path
# SOURCE: marius-wieschollek/passwords #644; outroll/vesta #2153
# ENGINE: cron + files, as the account's user
# RIGHT: the report of the test names each line (php8.2, python3.11, /usr/lib/postgresql/15/bin, perl 5.36 library paths, PHP extension folder 20220829), as it does for virtualenvs
#@ account
mkdir -p bin; printf '#!/usr/bin/php8.2\n<?php file_put_contents(getenv("HOME") . "/ran-php", PHP_VERSION);\n' > bin/job; printf '#!/usr/bin/python3.11\nopen("ran-python", "w").write("x")\n' > bin/pyjob; chmod 755 bin/job bin/pyjob
printf '*/5 * * * * /usr/bin/php8.2 $HOME/public_html/artisan schedule:run\n0 3 * * * /usr/lib/postgresql/15/bin/pg_dump acct_db > $HOME/dump.sql\n* * * * * $HOME/bin/job\n* * * * * cd $HOME && bin/pyjob\n' | crontab -
#@ check
sh -c 'bin/job; echo $?; bin/pyjob; echo $?; command -v php8.2 /usr/lib/postgresql/15/bin/pg_dump; echo $?' 2>/dev/null | tr '\n' ' '
#@ expect
0 0 ... 0 (on the new server: 127 127 and nothing), or findings in the test's report
