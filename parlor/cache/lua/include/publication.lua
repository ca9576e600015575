-- publication(last, ...) gives what wakes a log's readers: the new entry, its id and its fields, behind the id before
--   it, so that a reader that is in step need not read; '' for a large entry, which is only announced.
local PUBLISHED = 4096
local function publication(...)
  local said, size = {...}, 0
  for i = 1, #said do
    local field = said[i]
    if type(field) == 'number' then
      field = string.format('%.17g', field)
    end
    field = #field .. ':' .. field
    size = size + #field
    if size > PUBLISHED then
      return ''
    end
    said[i] = field
  end
  return table.concat(said)
end
