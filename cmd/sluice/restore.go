package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"sluice/internal/bucket"
)

// restoringFile is in a data folder until its restore is whole. A server refuses such a folder.
const restoringFile = "restoring"

// Restore is the command that makes a data folder from a backup.
type Restore struct {
	Data   string `help:"Data folder to make; it must be missing or empty." default:"./data" env:"SLUICE_DATA" type:"path"`
	Backup string `help:"Which backup of the folder, by its name. Default: the newest." placeholder:"NAME"`
	Check  bool   `help:"Only read the whole backup and compare its hashes; restore nothing."`
	From   string `arg:"" name:"FOLDER" help:"Folder of the backups." type:"existingdir"`
}

// Run restores or checks one backup.
func (c *Restore) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	lock, err := lockBackups(c.From)
	if err != nil {
		return err
	}
	defer lock.Close()
	dir, m, err := c.open()
	if err != nil {
		return err
	}
	if c.Check {
		if err := c.objects(ctx, dir, m, ""); err != nil {
			return err
		}
		fmt.Printf("backup %s is whole: %d objects of %s\n", filepath.Base(dir), m.Objects.Objects, bytesOf(m.Objects.Bytes))
		return nil
	}
	if err := c.prepare(); err != nil {
		return err
	}
	if err := c.restore(ctx, dir, m); err != nil {
		return errors.Join(err, empty(c.Data))
	}
	fmt.Printf("restored %s from backup %s: records as of %s, %d objects of %s; start it with sluice serve --data %s\n",
		c.Data, filepath.Base(dir), m.Taken.Format(time.RFC3339), m.Objects.Objects, bytesOf(m.Objects.Bytes), c.Data)
	if _, kept := m.Files[sealFile]; !kept {
		fmt.Printf("the backup holds no %s: where the private keys were sealed with one, put it into %s before the start, or set seal_key\n", sealFile, c.Data)
	}
	return nil
}

// open finds the backup and checks its files, save the contents of objects.
func (c *Restore) open() (dir string, m manifest, err error) {
	names, err := backups(c.From)
	if err != nil {
		return "", m, err
	}
	if len(names) == 0 {
		return "", m, fmt.Errorf("%s holds no backup; name the folder that sluice backup wrote", c.From)
	}
	if c.Backup == "" {
		c.Backup = names[len(names)-1]
	}
	if !slices.Contains(names, c.Backup) {
		return "", m, fmt.Errorf("%s holds no backup %q; there are %q", c.From, c.Backup, names)
	}
	dir = filepath.Join(c.From, c.Backup)
	body, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	if err != nil {
		return "", m, fmt.Errorf("backup %s is damaged: %w; restore another one", c.Backup, err)
	}
	if m.Format != format {
		return "", m, fmt.Errorf("backup %s has format %d, and this Sluice restores format %d; restore it with Sluice %s", c.Backup, m.Format, format, m.Version)
	}
	for _, name := range append([]string{databaseFile, listFile}, secretFiles...) {
		want, kept := m.Files[name]
		if !kept && slices.Contains(secretFiles, name) {
			continue
		}
		if sum, err := hashFile(filepath.Join(dir, name)); err != nil || sum != want {
			return "", m, errors.Join(fmt.Errorf("backup %s is damaged: %s is not what was backed up; restore another one", c.Backup, name), err)
		}
	}
	return dir, m, nil
}

// prepare takes an empty folder, or one in which a restore was killed.
func (c *Restore) prepare() error {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(c.Data, restoringFile)); err == nil {
		if err := empty(c.Data); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(c.Data)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty; restore into another folder, or move what is there away", c.Data)
	}
	return errors.Join(writeFile(filepath.Join(c.Data, restoringFile), nil, 0o600), syncDir(c.Data))
}

// empty removes everything in a folder, what says that a restore goes on last.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.Name() != restoringFile {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, restoringFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (c *Restore) restore(ctx context.Context, dir string, m manifest) error {
	if err := c.objects(ctx, dir, m, filepath.Join(c.Data, "objects")); err != nil {
		return err
	}
	for _, name := range append([]string{databaseFile}, secretFiles...) { // and nothing else that a manifest may name: open has looked at these
		if _, kept := m.Files[name]; !kept {
			continue
		}
		if err := copyFile(filepath.Join(dir, name), filepath.Join(c.Data, name)); err != nil {
			return err
		}
	}
	return errors.Join(syncDir(c.Data), os.Remove(filepath.Join(c.Data, restoringFile)), syncDir(c.Data))
}

// objects restores the objects of a backup, or, with no root, reads and compares them.
func (c *Restore) objects(ctx context.Context, dir string, m manifest, root string) error {
	list, err := os.Open(filepath.Join(dir, listFile))
	if err != nil {
		return err
	}
	defer list.Close()
	if root != "" {
		if err := os.Mkdir(root, 0o700); err != nil {
			return err
		}
	}
	sum, err := bucket.Archive{Dir: filepath.Join(c.From, contentsDir)}.Restore(ctx, list, root)
	if err != nil {
		return err
	}
	if sum.Objects != m.Objects.Objects || sum.Bytes != m.Objects.Bytes {
		return fmt.Errorf("backup %s is damaged: it lists %d objects and should %d; restore another one", c.Backup, sum.Objects, m.Objects.Objects)
	}
	return nil
}
