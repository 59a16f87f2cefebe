DROP TABLE photo_sweeps;
DROP TABLE photo_owners_deleted;
DROP TABLE photos;
