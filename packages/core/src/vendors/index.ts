/**
 * What is known about single EHR products, as data. Give `vendors` to a client and it recognises each provider's
 * product by itself; or name one on a provider.
 *
 * @module
 */

import { athenahealth } from './athenahealth.js'
import { blueButton } from './blue-button.js'
import { eClinicalWorks } from './eclinicalworks.js'
import { epic } from './epic.js'
import { nextGen } from './nextgen.js'
import { oracleHealth } from './oracle-health.js'
import { va } from './va.js'
import type { Vendor } from './vendor.js'
import { veradigm } from './veradigm.js'

export { athenahealth } from './athenahealth.js'
export { blueButton } from './blue-button.js'
export { eClinicalWorks } from './eclinicalworks.js'
export { epic } from './epic.js'
export { nextGen } from './nextgen.js'
export { oracleHealth } from './oracle-health.js'
export { recogniseVendor, type VendorMarks } from './recognise.js'
export { va } from './va.js'
export { defineVendor, type PatientSource, type Trait, type Vendor, type VendorSearch } from './vendor.js'
export { veradigm } from './veradigm.js'

/** Every row. */
export const vendors: readonly Vendor[] = Object.freeze([
  ...[epic, oracleHealth, veradigm, eClinicalWorks, nextGen, athenahealth, blueButton, va],
])
