import { isObject } from '../json.js'
import { textsIn } from './body.js'
import type { Asked } from './sharing.js'

/** What the body of `POST share` asks for, as far as its shape goes; undefined when it has another. */
export function askedIn(body: Readonly<Record<string, unknown>>): Asked | undefined {
  const [dataClasses, withhold] = [textsIn(body, 'dataClasses'), textsIn(body, 'withhold')]
  const [recipients, leaveOut] = [textsIn(body, 'recipients'), textsIn(body, 'leaveOut')]
  const { signature, sharing, language, period, givenBy } = body
  if (dataClasses === null || withhold === null || recipients === null || leaveOut === null) return undefined
  if (typeof signature !== 'string' || signature.trim() === '' || signature.length > 1000) return undefined
  if (sharing !== undefined && sharing !== 'once' && sharing !== 'ongoing') return undefined
  if (language !== undefined && typeof language !== 'string') return undefined
  const days = textsOf(period, ['start', 'end'])
  const person = textsOf(givenBy, ['name', 'relationship'])
  if (days === null || person === null) return undefined
  return {
    leaveOut: leaveOut ?? [],
    given: {
      signature,
      ...(dataClasses ? { dataClasses } : {}),
      ...(withhold ? { withhold } : {}),
      ...(recipients ? { recipients } : {}),
      ...(sharing === undefined ? {} : { sharing }),
      ...(language === undefined ? {} : { language }),
      ...(days ? { period: days } : {}),
      ...(person ? { givenBy: { name: person.name ?? '', relationship: person.relationship ?? '' } } : {}),
    },
  }
}

/** Members of an object that are texts; undefined when there is no object, null when one is anything else. */
function textsOf<Name extends string>(
  value: unknown,
  names: readonly Name[],
): Partial<Record<Name, string>> | undefined | null {
  if (value === undefined) return undefined
  if (!isObject(value)) return null
  const found: Partial<Record<Name, string>> = {}
  for (const name of names) {
    const text = Object.hasOwn(value, name) ? value[name] : undefined
    if (text === undefined) continue
    if (typeof text !== 'string') return null
    found[name] = text
  }
  return found
}
