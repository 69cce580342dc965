import type { Adapter } from 'oidc-provider'
import { expect, test } from 'vitest'
import { memoryAdapter } from './memory-adapter.js'

const make = memoryAdapter() as (name: string) => Adapter

test('what has expired is gone, and what belongs to a revoked grant', async () => {
  const tokens = make('AccessToken')
  await tokens.upsert('old', { grantId: 'a' }, -1)
  await tokens.upsert('one', { grantId: 'a' }, 60)
  await tokens.upsert('two', { grantId: 'b' }, 60)
  expect(await tokens.find('old')).toBeUndefined()
  expect(await tokens.find('one')).toEqual({ grantId: 'a' })
  await tokens.revokeByGrantId('a')
  expect(await tokens.find('one')).toBeUndefined()
  expect(await tokens.find('two')).toEqual({ grantId: 'b' })
})

test('a sandbox that runs for long forgets the oldest and keeps the newest', async () => {
  const tokens = make('RefreshToken')
  for (let n = 0; n <= 50_000; n++) await tokens.upsert(`${n}`, { grantId: `${n}` }, 60)
  expect(await tokens.find('0')).toBeUndefined()
  expect(await tokens.find('50000')).toEqual({ grantId: '50000' })
})
