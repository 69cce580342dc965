import type { Adapter, AdapterFactory, AdapterPayload } from 'oidc-provider'

interface Row {
  readonly payload: AdapterPayload
  readonly until: number
}

// A sandbox that runs for weeks forgets its oldest sessions and grants before it fills the memory.
const kept = 50_000

/** oidc-provider's storage, in memory and one for each sandbox: two hospitals must not know each other's sessions. */
export function memoryAdapter(): AdapterFactory {
  const rows = new Map<string, Row>()
  const byGrant = new Map<string, Set<string>>()

  const read = (key: string): AdapterPayload | undefined => {
    const row = rows.get(key)
    if (!row) return undefined
    if (row.until > Date.now()) return row.payload
    rows.delete(key)
    return undefined
  }
  const find = (name: string, matches: (payload: AdapterPayload) => boolean): AdapterPayload | undefined => {
    for (const key of rows.keys()) {
      const payload = key.startsWith(`${name}:`) ? read(key) : undefined
      if (payload && matches(payload)) return payload
    }
    return undefined
  }

  return (name: string): Adapter => ({
    upsert: async (id, payload, expiresIn) => {
      const key = `${name}:${id}`
      if (rows.size >= kept) forget(rows, byGrant)
      rows.set(key, { payload, until: expiresIn ? Date.now() + expiresIn * 1000 : Number.POSITIVE_INFINITY })
      if (payload.grantId && name !== 'Grant') {
        const keys = byGrant.get(payload.grantId) ?? new Set()
        byGrant.set(payload.grantId, keys.add(key))
      }
    },
    find: async (id) => read(`${name}:${id}`),
    findByUid: async (uid) => find(name, (payload) => payload.uid === uid),
    findByUserCode: async (userCode) => find(name, (payload) => payload.userCode === userCode),
    consume: async (id) => {
      const payload = read(`${name}:${id}`)
      if (payload) payload.consumed = Math.floor(Date.now() / 1000)
    },
    destroy: async (id) => {
      const key = `${name}:${id}`
      const grantId = rows.get(key)?.payload.grantId
      rows.delete(key)
      if (grantId) byGrant.get(grantId)?.delete(key)
    },
    revokeByGrantId: async (grantId) => {
      for (const key of byGrant.get(grantId) ?? []) rows.delete(key)
      byGrant.delete(grantId)
    },
  })
}

function forget(rows: Map<string, Row>, byGrant: Map<string, Set<string>>): void {
  const now = Date.now()
  for (const [key, { until }] of rows) if (until <= now) rows.delete(key)
  // A map lists its keys by age.
  for (const key of rows.keys()) {
    if (rows.size < kept * 0.9) break
    rows.delete(key)
  }
  for (const [grantId, keys] of byGrant) {
    for (const key of keys) if (!rows.has(key)) keys.delete(key)
    if (keys.size === 0) byGrant.delete(grantId)
  }
}
