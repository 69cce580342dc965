// After `changeset version`: the version that packages and provenance name is that of @s4s/core.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { top } from './documents.mjs'

const { version } = JSON.parse(readFileSync(join(top, 'packages/core/package.json'), 'utf8'))
const path = join(top, 'packages/core/src/study/version.ts')
writeFileSync(path, readFileSync(path, 'utf8').replace(/'[^']*'/, `'${version}'`))
