-- Lanes that stand still for no reason go on; must be none.
SELECT q.repair_lanes()
