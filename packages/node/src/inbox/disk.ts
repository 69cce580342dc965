import { createHash, randomBytes } from 'node:crypto'
import { copyFile, link, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing, isNoSpace, writeDurably } from '../durable.js'

/** Where everything of an inbox lies. */
export interface Places {
  readonly folder: string
  readonly stagings: string
  /** The key that marks of resources are made with. */
  readonly markKey: string
  /** An upload that is open. */
  staging(digest: string): string
  readonly studies: string
  /** The packages of a study. */
  packages(study: string): string
  /** A package that is stored. */
  home(study: string, digest: string): string
  readonly quarantines: string
  quarantine(study: string): string
  /** A package that was set aside. */
  aside(study: string, digest: string): string
  readonly graveyards: string
  graves(study: string): string
  /** What is left of a package whose consent was withdrawn. */
  grave(study: string, digest: string): string
  /** Says that nothing more is taken under a consent. */
  consentMark(study: string, consent: string, withdrawalCommitment: string): string
}

export function placesIn(folder: string): Places {
  const [stagings, studies] = [join(folder, 'staging'), join(folder, 'packages')]
  const [quarantines, graveyards] = [join(folder, 'quarantine'), join(folder, 'withdrawn')]
  return Object.freeze({
    folder,
    stagings,
    markKey: join(folder, 'marks.key'),
    staging: (digest: string) => join(stagings, digest),
    studies,
    packages: (study: string) => join(studies, study),
    home: (study: string, digest: string) => join(studies, study, digest),
    quarantines,
    quarantine: (study: string) => join(quarantines, study),
    aside: (study: string, digest: string) => join(quarantines, study, digest),
    graveyards,
    graves: (study: string) => join(graveyards, study),
    grave: (study: string, digest: string) => join(graveyards, study, `${digest}.json`),
    // Anyone can write the name of a consent, so its commitment is part of it.
    consentMark: (study: string, consent: string, withdrawalCommitment: string) =>
      join(graveyards, study, `consent-${sha256(`${withdrawalCommitment} ${consent}`)}`),
  })
}

/** The bytes of a file, or undefined when it is not there. */
export async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/** The names in a folder, sorted; none when it is not there. */
export async function names(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort()
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

export const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    (error) => {
      if (isMissing(error)) return false
      throw error
    },
  )

/** The same bytes in a second place, without a copy where the disk can. */
export async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    if (isMissing(error) || isNoSpace(error)) throw error
    await copyFile(from, to)
  }
}

/** The key in a file; a new one when there is none. Only one may ask at a time. */
export async function keyIn(path: string): Promise<Uint8Array> {
  const found = await readIfThere(path)
  if (found?.length === 32) return found
  const made = randomBytes(32)
  await writeDurably(path, made)
  return made
}

/** Hexadecimal. */
export const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex')
