-- The newest 100 order ids of a buyer's list, each 26 characters behind a space.
local function keep_newest(list)
  if #list <= 2700 then return list end
  return string.sub(list, -2700)
end
