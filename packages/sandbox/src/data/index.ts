import type { Resource } from '../fhir/resource.js'

/** One of the built-in people. */
export interface Person {
  readonly id: string
  readonly name: string
  readonly birthDate: string
  readonly gender: string
  readonly description: string
}

/** The built-in people. */
export const people: readonly Person[] = []

/** The records of the built-in people. */
export function generateRecords(
  _options: { readonly seed?: number; readonly only?: readonly string[] } = {},
): Iterable<Resource> {
  return []
}

/** The resources of a folder. */
export async function loadFolder(_folder: string): Promise<Resource[]> {
  return []
}
