<?php
// What of the home does not change while visitors write: one line a folder, with a digest of what is in it.
header('Content-Type: text/plain; charset=utf-8');
$tree = dirname(__DIR__) . '/tree';
foreach (array_slice(scandir($tree), 2) as $folder) {
    $names = array_slice(scandir("$tree/$folder"), 2);
    echo $folder, ' ', count($names), ' ', sha1(implode("\0", $names)), ' ', sha1_file("$tree/$folder/{$names[0]}"), "\n";
}
