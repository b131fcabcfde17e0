# CASE 64: a path of more than 4096 bytes (a backup that copied itself, node_modules within node_modules)
# SOURCE: 007revad/Synology_app_mover #120, #218; bit-team/backintime #1112
# ENGINE: files
# RIGHT: it is carried (tar can), or exactly this folder is told as left behind in the test; the other files move
#@ account
echo here > plain
python3 -c "
import os
name = 'd' * 200
for i in range(30):
    os.mkdir(name); os.chdir(name)
open('deep', 'w').write('deep')
"
#@ check
cat plain; find . -name 'd*' -maxdepth 1 | wc -l
#@ expect
here 1
