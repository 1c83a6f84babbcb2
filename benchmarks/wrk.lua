-- What wrk sends: WORK is read, list, create, update or empty; ids are random among RECORDS.
-- It prints what it measured as one line of JSON.
local work, records, run, key = os.getenv("WORK"), tonumber(os.getenv("RECORDS")), os.getenv("RUN"), os.getenv("KEY")
local headers = { ["X-API-Key"] = key, ["Content-Type"] = "application/json" }
local threads, count = 0, 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init()
  math.randomseed(tonumber(run) * 64 + number)
end

local makers = {
  read = function() return wrk.format("GET", "/foss/" .. math.random(records), headers) end,
  list = function() return wrk.format("GET", "/foss?limit=50", headers) end,
  create = function()
    count = count + 1
    local email = "b" .. run .. "-" .. number .. "-" .. count .. "@example.org"
    return wrk.format("POST", "/foss", headers, '{"name": "Benchmark", "email": "' .. email .. '"}')
  end,
  update = function()
    local name = "Project " .. math.random(1000000)
    return wrk.format("PUT", "/foss/" .. math.random(records), headers, '{"name": "' .. name .. '"}')
  end,
  empty = function() return wrk.format("GET", "/livez", headers) end,
}
request = makers[work]

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nJSON {"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "failed": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
