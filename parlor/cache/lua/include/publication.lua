-- publication(last, ...) gives what wakes a log's readers: the new entry, its id and its fields, behind the id before
--   it, so that a reader that is in step need not read; '' for a large entry, which is only announced.
local PUBLISHED = 4096
local function netstring(value)
  local said = type(value) == 'number' and string.format('%.17g', value) or value
  return #said .. ':' .. said
end
local function publication(...)
  local said, size = {}, 0
  for _, field in ipairs({...}) do
    if size + #tostring(field) > PUBLISHED then
      return ''  -- Not copied, for it would not be sent.
    end
    said[#said + 1] = netstring(field)
    size = size + #said[#said]
  end
  return size <= PUBLISHED and table.concat(said) or ''
end
