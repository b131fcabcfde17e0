<?php
// CASE 77: a guarded helper of the name of a new function with another order of arguments: the guard makes it step aside
// SOURCE: Codiad/Codiad #1096 (class)
// ENGINE: files, web
// RIGHT: the report names the file: it declares a name that 8.4 has itself
// CHECK: curl -s http://acct.example/find.php   -> 1 on the old, error 500 on the new server
if (!function_exists('array_find')) {
    function array_find($needle, array $haystack) { return array_search($needle, $haystack, true); }
}
echo array_find('b', ['a', 'b']), "\n";
