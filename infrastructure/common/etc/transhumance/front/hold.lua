-- A request or connection of a held account waits here until its account is opened again, or BOUND seconds have passed.
-- Others never come here: haproxy.cfg calls this action only while the account's entry says "hold".

local BOUND = 90
local accounts = Map.new("/etc/transhumance/front/accounts.map", Map._str)

local function now()
  local time = core.now()
  return time.sec + time.usec / 1000000
end

core.register_action("hold", { "http-req", "tcp-req" }, function(txn)
  local account = txn:get_var("txn.account")
  local until_then = now() + BOUND
  while accounts:lookup(account) == "hold" and now() < until_then do
    core.msleep(10)
  end
end, 0)
