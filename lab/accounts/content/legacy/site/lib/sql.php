<?php
function legacy_connect($shop, $limit)
{
    $shop->query("SET SESSION max_tmp_tables = $limit");
    $shop->query('SELECT @@tx_isolation');
    // SET SESSION max_tmp_tables = 1, in a comment
    $shop->query("UPDATE settings SET max_tmp_tables = 3 WHERE id = 1");
    ini_set('session.sid_length', '32');
}
