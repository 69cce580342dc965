// Runs `npm run demo -- --json` twice and reads its last line: the road was walked to its end, twice the same.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { top } from './documents.mjs'

const first = demo()
const second = demo()

for (const { ok, providers, receipt, digests, withdrawal, withdrawnAtStudy } of [first, second]) {
  assert.equal(ok, true, 'the demo says that all went well')
  assert.ok(providers.length >= 2, 'two hospitals were connected')
  for (const { name, resources, completeness } of providers) {
    assert.ok(resources > 0, `${name} gave resources`)
    assert.ok(Object.values(completeness).includes('received'), `${name} gave a whole class of data`)
  }
  assert.match(receipt.digest, /^[0-9a-f]{64}$/, 'the receipt names the package')
  assert.equal(digests.verified, true, 'every digest was verified at the study')
  assert.equal(withdrawal.complete, true, 'the withdrawal is complete')
  assert.equal(withdrawnAtStudy, true, 'the study knows of the withdrawal')
}
assert.deepEqual(
  second.providers.map(({ types }) => types),
  first.providers.map(({ types }) => types),
  'the sandbox has the same people each time',
)
process.stdout.write('demo: walked twice\n')

function demo() {
  const { status, stdout, stderr } = spawnSync('npm', ['run', '--silent', 'demo', '--', '--json'], {
    cwd: top,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  assert.equal(status, 0, `the demo ended with ${status}:\n${stdout}${stderr}`)
  return JSON.parse(stdout.trim().split('\n').at(-1))
}
