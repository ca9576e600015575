-- words_of(text) returns the words of a text, as texts, in order.
local function words_of(text)
  local found = {}
  for word in string.gmatch(text, '%S+') do
    found[#found + 1] = word
  end
  return found
end
