import { labs, type Measure } from './codes.js'
import type { Random } from './random.js'

// Values that hang together: an anion gap that a body can have, an eGFR that follows the creatinine.

/** The results of a panel. */
export type Results = readonly (readonly [Measure, number])[]

/** A comprehensive metabolic panel. */
export function metabolicResults(
  random: Random,
  body: {
    readonly glucose: number
    readonly creatinine: number
    readonly age: number
    readonly female: boolean
  },
): Results {
  const sodium = random.about(140, 1.5)
  const carbonDioxide = random.about(25, 1)
  const creatinine = Math.max(0.4, random.about(body.creatinine, 0.04, 2))
  return [
    [labs.glucose, body.glucose],
    [labs.urea, Math.round(creatinine * random.between(13, 17))],
    [labs.creatinine, creatinine],
    [labs.egfr, filtration(creatinine, body.age, body.female)],
    [labs.sodium, sodium],
    [labs.potassium, random.about(4.3, 0.2, 1)],
    [labs.chloride, sodium - carbonDioxide - random.about(11, 1)],
    [labs.carbonDioxide, carbonDioxide],
    [labs.calcium, random.about(9.4, 0.2, 1)],
    [labs.protein, random.about(7.1, 0.2, 1)],
    [labs.albumin, random.about(4.2, 0.15, 1)],
    [labs.bilirubin, random.about(0.6, 0.1, 1)],
    [labs.alkalinePhosphatase, random.about(78, 9)],
    [labs.alt, random.about(26, 5)],
    [labs.ast, random.about(23, 4)],
  ]
}

/** A lipid panel whose LDL is the one that Friedewald's formula gives. */
export function lipidResults(
  random: Random,
  mean: { readonly total: number; readonly hdl: number },
): Results {
  const total = random.about(mean.total, 8)
  const hdl = random.about(mean.hdl, 3)
  const triglycerides = random.about(140, 18)
  return [
    [labs.cholesterol, total],
    [labs.triglycerides, triglycerides],
    [labs.hdl, hdl],
    [labs.ldl, total - hdl - Math.round(triglycerides / 5)],
  ]
}

/** A blood count whose red cells hang together. */
export function bloodCountResults(random: Random, hemoglobin: number): Results {
  const measured = random.about(hemoglobin, 0.3, 1)
  const hematocrit = measured * 3 + random.about(0, 0.3, 1)
  const volume = random.about(89, 2)
  return [
    [labs.leukocytes, random.about(6.8, 0.9, 1)],
    [labs.erythrocytes, (hematocrit * 10) / volume],
    [labs.hemoglobin, measured],
    [labs.hematocrit, hematocrit],
    [labs.mcv, volume],
    [labs.platelets, random.about(245, 28)],
  ]
}

// CKD-EPI 2021, which knows no race.
function filtration(creatinine: number, age: number, female: boolean): number {
  const ratio = creatinine / (female ? 0.7 : 0.9)
  const low = Math.min(ratio, 1) ** (female ? -0.241 : -0.302)
  return 142 * low * Math.max(ratio, 1) ** -1.2 * 0.9938 ** age * (female ? 1.012 : 1)
}
