-- A request for a program of an account's own waits here until the agent has taken it off the map, since it listens, or
-- BOUND seconds have passed.

local BOUND = 25
local apps = Map.new("/etc/transhumance/front/apps.map", Map._beg)

core.register_action("await_app", { "http-req" }, function(txn)
  local asked, waited = txn:get_var("txn.asked"), 0
  while apps:lookup(asked) and waited < BOUND do
    core.msleep(50)
    waited = waited + 0.05
  end
end, 0)
