import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, test } from 'vitest'
import { shareFromPage } from '../node-express/custody.js'
import { openTown, type Town } from '../node-express/town.js'

let town: Town
beforeAll(async () => {
  town = await openTown(fileURLToPath(new URL('./server.ts', import.meta.url)))
})
afterAll(() => town.stop())

test('the script of a page collects, follows it, shares and withdraws, and is never given a token', () =>
  shareFromPage(town))
