import type { Letter } from './guard.js'
import type { Issue } from './outcome.js'
import type { Indexed } from './repository.js'
import type { Include } from './search.js'

/** What a search found, kept for its later pages. */
export interface Findings {
  readonly matches: readonly Indexed[]
  readonly includes: readonly Include[]
  readonly count: number
  readonly self: string
  readonly issues: readonly Issue[]
  readonly total: boolean
  /** The scope letters of which a resource needs one to be shown. */
  readonly letters: readonly Letter[]
}

/** The open page chains of a server. */
export interface Pages {
  /** An opaque cursor that stands for the findings from an offset on. */
  cursor(findings: Findings, offset: number): string
  /** undefined = never given out, or so long ago that it was dropped. */
  open(cursor: string): { readonly findings: Findings; readonly offset: number } | undefined
}

/** Keeps the page chains that were asked for last; the oldest go when together they hold too many resources. */
export function createPages(limit = 2_000_000): Pages {
  const byId = new Map<string, Findings>()
  const ids = new WeakMap<Findings, string>()
  let held = 0
  return Object.freeze({
    cursor: (findings: Findings, offset: number) => {
      const id = ids.get(findings) ?? crypto.randomUUID()
      ids.set(findings, id)
      if (byId.delete(id)) held -= findings.matches.length
      byId.set(id, findings)
      held += findings.matches.length
      for (const [oldest, { matches }] of byId) {
        if (held <= limit || oldest === id) break
        byId.delete(oldest)
        held -= matches.length
      }
      return `${id}.${offset}`
    },
    open: (cursor: string) => {
      const match = /^([0-9a-f-]{36})\.(\d{1,9})$/.exec(cursor)
      const findings = match && byId.get(match[1] as string)
      const offset = Number(match?.[2])
      return findings && offset < findings.matches.length ? { findings, offset } : undefined
    },
  })
}
