import { endOfString, isObject, parseJson, stringAt } from '../util/json.js'
import { isWithin, join, parseUrl } from '../util/url.js'

/** Where the resources of one source go. */
export interface Target {
  /** The FHIR base that they come from. */
  readonly iss: string
  /** The new id of `Type/id` when it goes along, else undefined. */
  readonly idFor: (name: string) => string | undefined
}

/**
 * A resource's text for another server: its own id and every reference to what goes along with it are new, every other
 * relative address is made absolute, so that it can mean nothing that this server has of its own. `meta.source` says
 * where it was, unless it says something already. All else stays letter by letter.
 *
 * @see https://hl7.org/fhir/R4/references.html#literal
 */
export function retarget(line: string, target: Target): { readonly name: string; readonly text: string } {
  const resource = parseJson(line)
  const [type, id] = [stringAt(resource, 'resourceType'), stringAt(resource, 'id')]
  const newId = target.idFor(`${type}/${id}`)
  if (type === undefined || id === undefined || newId === undefined)
    throw new TypeError('a line of the package is no resource with a type and an id')
  const meta = isObject(resource) ? resource.meta : undefined
  const source = `"source":${JSON.stringify(join(target.iss, `${type}/${id}`))}`
  const lacksSource = isObject(meta) && stringAt(meta, 'source') === undefined
  const text = rewritten(line, (depth, key, value) => {
    if (value === undefined) {
      if (depth !== 1 || key !== 'meta' || !lacksSource) return undefined
      return Object.keys(meta).length === 0 ? source : `${source},`
    }
    if (depth === 1 && key === 'id')
      return `${JSON.stringify(newId)}${meta === undefined ? `,"meta":{${source}}` : ''}`
    if (key !== 'reference' && key !== 'url') return undefined
    const said = parseJson(value)
    const to = typeof said === 'string' ? addressFor(said, key, target) : undefined
    return to === undefined ? undefined : JSON.stringify(to)
  })
  return { name: `${type}/${newId}`, text }
}

const literal = /^([A-Z][A-Za-z]{0,63}\/[A-Za-z0-9\-.]{1,64})(\/_history\/[A-Za-z0-9\-.]{1,64})?$/

function addressFor(said: string, key: 'reference' | 'url', { iss, idFor }: Target): string | undefined {
  const absolute = /^[A-Za-z][A-Za-z0-9+.-]*:/.test(said)
  const [url, base] = absolute ? [parseUrl(said), parseUrl(iss)] : []
  const local = url && base && isWithin(url, base) ? said.slice(join(iss, '').length) : said
  const name = literal.exec(local)?.[1]
  if (key === 'reference') {
    const id = name === undefined ? undefined : idFor(name)
    if (name !== undefined && id !== undefined) return `${name.slice(0, name.indexOf('/'))}/${id}`
    // A query in place of an id would be looked up among all that the other server holds.
    return absolute || said.startsWith('#') ? undefined : join(iss, said.replace(/^\/+/, ''))
  }
  return !absolute && name !== undefined ? join(iss, said) : undefined
}

/** What takes the place of a string, or stands at the beginning of an object; undefined leaves it. */
type Replace = (depth: number, key: string, value: string | undefined) => string | undefined

// Walks the text itself: what is parsed and written again is another text, with other digits.
function rewritten(text: string, replace: Replace): string {
  const out: string[] = []
  const inObject: boolean[] = []
  const keys: string[] = []
  let copied = 0
  let wantsKey = false
  const put = (from: number, to: number, with_: string | undefined): void => {
    if (with_ === undefined) return
    out.push(text.slice(copied, from), with_)
    copied = to
  }
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === '"') {
      const end = endOfString(text, at)
      const string = text.slice(at, end)
      if (wantsKey)
        keys[inObject.length] = string.includes('\\') ? String(parseJson(string)) : string.slice(1, -1)
      else if (inObject.at(-1))
        put(at, end, replace(inObject.length, keys[inObject.length] as string, string))
      wantsKey = false
      at = end - 1
    } else if (character === '{' || character === '[') {
      const isValue = inObject.at(-1) === true
      wantsKey = character === '{'
      if (wantsKey && isValue)
        put(at + 1, at + 1, replace(inObject.length, keys[inObject.length] as string, undefined))
      inObject.push(wantsKey)
    } else if (character === '}' || character === ']') {
      inObject.pop()
      wantsKey = false
    } else if (character === ',') wantsKey = inObject.at(-1) === true
  }
  out.push(text.slice(copied))
  return out.join('')
}
