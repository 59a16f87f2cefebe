-- wrk's requests: every person in turn. The file of people has a line each: token, first task.
local people, ready, count = {}, {}, 0
local path, evidence, tag = "/v1/tasks/today", false, nil
local bad = 0

function init(args)
  for line in io.lines(args[1]) do
    local token, task, etag = line:match("(%S+) (%S+) ?(%S*)")
    people[#people + 1] = {token = token, task = tonumber(task), etag = etag}
  end
  if args[2] == "postgres" then path = "/v1/tasks/today?limit=49" end
  evidence = args[2] == "evidence"
  for n, person in ipairs(people) do
    local headers = {["Authorization"] = "Bearer " .. person.token}
    if args[2] == "unchanged" then headers["If-None-Match"] = person.etag end
    ready[n] = wrk.format("GET", path, headers)
  end
end

function request()
  count = count + 1
  local place = (count - 1) % #people + 1
  if not evidence then return ready[place] end
  -- Each task is completed once before any is given a second proof.
  local person = people[place]
  local task = person.task + math.floor((count - 1) / #people) % 12
  return wrk.format("POST", "/v1/evidence",
    {["Authorization"] = "Bearer " .. person.token, ["Content-Type"] = "application/json"},
    string.format('{"taskId":%d,"type":"text_log","data":{"text":"Done as planned."}}', task))
end

function done(summary, latency, requests)
  io.write(string.format(
    'RESULT {"requests":%d,"us":%d,"bad":%d,"p50_us":%d,"p99_us":%d}\n',
    summary.requests, summary.duration,
    summary.errors.status + summary.errors.read + summary.errors.write + summary.errors.timeout
      + summary.errors.connect,
    latency:percentile(50), latency:percentile(99)))
end
