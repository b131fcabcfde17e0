-- Requests wait here for a moment while the agent has PHP read its configuration again: until it has taken the mark off
-- the map, or BOUND seconds have passed, whatever became of the agent.

local BOUND = 1
local paused = Map.new("/etc/transhumance/front/paused.map", Map._str)

core.register_action("pause", { "http-req" }, function(_)
  local waited = 0
  while paused:lookup("all") and waited < BOUND do
    core.msleep(5)
    waited = waited + 0.005
  end
end, 0)
