import { isObject, stringAt } from '../util/json.js'

const reference = /(?:^|\/)([A-Z][A-Za-z]+\/[A-Za-z0-9.-]{1,64})(?:\/_history\/.*)?$/

/** `Type/id` of what a reference leads to; undefined of one that names nothing so. */
export function targetOf(text: string): string | undefined {
  return reference.exec(text)?.[1]
}

/** `Type/id` of everything that a value points to. */
export function referencesIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(referencesIn)
  if (!isObject(value)) return []
  const own = targetOf(stringAt(value, 'reference') ?? '')
  return [...(own === undefined ? [] : [own]), ...Object.values(value).flatMap(referencesIn)]
}
