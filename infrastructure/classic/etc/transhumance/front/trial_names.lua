-- A site of a copy for a test answers to a test name, and believes that it is asked for its own. What it answers leads
-- back to the test name: redirects and cookies here, the addresses in its pages by the web server (trial_pages.py).

local names = Map.new("/etc/transhumance/front/trial_names.map", Map._str)

-- The same address at the host that `lead` says, where it says one.
local function led(text, lead)
  return (text:gsub("^(%a*:?//)([^/:?#]+)(:?%d*)", function(before, host, port)
    local to = lead(host:lower())
    return to and before .. to or before .. host .. port
  end))
end

core.register_action("ask_trial", { "http-req" }, function(txn)
  local test_name, host = txn:get_var("txn.host"), txn:get_var("txn.trial")
  local headers = txn.http:req_get_headers()
  local function to_host(name)
    return name == test_name and host
  end
  for _, header in ipairs({ "referer", "origin" }) do
    -- Many sites check it before they take a form.
    if headers[header] then
      txn.http:req_set_header(header, led(headers[header][0], to_host))
    end
  end
  txn.http:req_set_header("host", host)
  -- What comes compressed cannot be led back.
  txn.http:req_del_header("accept-encoding")
end, 0)

core.register_action("lead_back", { "http-res" }, function(txn)
  local headers = txn.http:res_get_headers()
  local function to_test_name(host)
    return names:lookup(host)
  end
  for _, header in ipairs({ "location", "content-location", "access-control-allow-origin" }) do
    if headers[header] then
      txn.http:res_set_header(header, led(headers[header][0], to_test_name))
    end
  end
  if headers["set-cookie"] then
    txn.http:res_del_header("set-cookie")
    local number = 0
    while headers["set-cookie"][number] do
      local cookie = headers["set-cookie"][number]:gsub("(;%s*[Dd][Oo][Mm][Aa][Ii][Nn]%s*=%s*)%.?([^;%s]+)", function(before, host)
        return before .. (names:lookup(host:lower()) or host)
      end)
      txn.http:res_add_header("set-cookie", cookie)
      number = number + 1
    end
  end
  txn.http:res_set_header("x-robots-tag", "noindex, nofollow")
end, 0)
